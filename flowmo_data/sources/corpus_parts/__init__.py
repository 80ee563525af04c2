"""Parts of a corpus that several machines work through, and the files of their results."""
