"""What the machine gives: several processes as one, a disk on which a kill loses nothing."""
