"""Offline: corpora to tables, tables to models, and the numbers that ship with entrain."""
