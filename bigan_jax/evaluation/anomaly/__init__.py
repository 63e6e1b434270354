"""Which pictures do not belong: scores of E, G and D, beside what normal pictures get.

A picture's score depends on itself, the networks and the normal pictures alone, never on the other
pictures that are judged.
"""
