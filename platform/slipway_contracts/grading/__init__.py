"""How an answer is scored where nothing has to be asked: the door's graders, a run's rewards."""
