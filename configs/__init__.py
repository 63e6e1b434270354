"""Configs of every experiment; `--config=configs/NAME.py[:variant[,key=value]]`."""
