"""Imported once, by the process that workers are forked from: loads what is compiled, for all of them."""

from models.compile import main

main()
