"""What is learned from renders: gradients for torch (autograd.py, the only module that needs it), and training."""
