"""What networks are measured by: accuracy, cross-validation, figures and the model card in words."""
