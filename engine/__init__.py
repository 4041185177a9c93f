from engine.compiled import prefer

prefer()
