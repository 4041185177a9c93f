"""The generated worlds and the benchmark measure what they say."""
