"""What users declare, one file a kind, with Istio's names. Values only: what they mean is resolve's, what is wrong sources'."""
