"""What can be wrong with a file beyond its form: one module for each subject, collected by `runner.spec.lint`. Pure."""
