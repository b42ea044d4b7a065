//! Every setting, with its variable, default and unit.
