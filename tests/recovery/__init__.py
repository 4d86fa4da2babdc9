"""Recovery: the engine is killed, starved, fenced and fed bad input; the tables come out the same.

Law 2 (once), law 3 (whole) and law 6 (nothing dropped in silence). Every test compares with an
undisturbed run of the same records, audit columns aside. Nothing here may depend on how fast the
machine is: moments of death are drawn at random, outcomes are not.
"""
