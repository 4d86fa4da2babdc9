"""Laws 1 and 4 against oracles that share no code with the engine.

It must never take an expected value from the engine itself.
"""
