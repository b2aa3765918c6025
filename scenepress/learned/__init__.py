"""What is learned from renders: gradients for torch, training. Needs torch; decoding never does."""
