"""What follows a run: links, chords, errbacks; each sent once, whoever dies."""
