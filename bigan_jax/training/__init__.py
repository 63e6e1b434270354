"""Section 3 of the paper: objectives, the step of all players, and the loop around it.

It is given data and evaluators, and knows neither where pictures lie nor how networks are judged.
"""
