"""What each kind is for and each field means, in a sentence: for `tulle explain` and docs/reference. One file a kind."""
