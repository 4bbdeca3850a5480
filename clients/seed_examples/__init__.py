"""The examples of the five documents whose services Mynah stands in for, and how each is run."""
