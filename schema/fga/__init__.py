"""OpenFGA's model language: its DSL, its JSON form, and both to and from a `Schema`."""
