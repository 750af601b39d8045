"""What a schedule is: how it is built, stored, called and printed.

A file imports from those above it:

    errors            an error: one line of parts, which others may reword; imports of an extra
    printing          a value as source text
    peer_words        other libraries' words for a hyperparameter, for the hint in an error
    lengths           a ratio that stands among steps is refused
    nodes             a pytree of ours: its children, and the structure around them
    domains           what a hyperparameter may be, and what is stored for it
    words             what annotates formulas (`Rate`, `Steps`, ...), each with its domain; the door:
                      arguments bound by name, each admitted by its domain
    formula           a function with its domains, and the builder that they define; shared checks
    built             what builders make: an immutable pytree of hyperparameters
    evaluate          a call: one compiled program for all schedules of a structure
    curve             how far a schedule goes, and its picture in notebooks
    operators         `+ - * / **` between schedules, numbers and functions of the step
    schedule          `Schedule`, and the decorator that makes builders of them
    shapes            `Shape`, the shapes of phases, and the builders of those with a number
    operands          schedules as hyperparameters of others, one or many
    recipe            the decorator that makes builders of compositions
    arithmetic        the builders of sums, products and powers, which the operators call

Begin with `schedule`, then `built` and `formula`. A builder's call goes through `words` and
`formula` to `built`; a schedule's call through `evaluate`.
"""
