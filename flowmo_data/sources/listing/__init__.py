"""What the user names as a list of paths: folders, globs, braces, manifests, columns of datasets, aligned sets."""
