"""The tables of the paper from run folders, and an HTML report; started by launch/*.sh.

They read what jobs wrote, and neither train nor judge.
"""
