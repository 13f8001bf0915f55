"""The REST facade: the contract's routes over records and the engine. No rows are matched here."""
