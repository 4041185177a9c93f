"""OpenFGA's DSL: text to a model with the places of its parts, and back."""
