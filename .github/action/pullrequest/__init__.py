"""The GitHub Action: lints a pull request's YAML files and keeps one comment that says what they change.

Standard library only. Whatever comes from the pull request is read from git's objects, never from the working tree,
and never run.
"""
