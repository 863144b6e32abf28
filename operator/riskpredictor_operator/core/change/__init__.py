"""The change of a model, step by step: a pure state machine over what is declared, what runs, and
what the pods have counted."""
