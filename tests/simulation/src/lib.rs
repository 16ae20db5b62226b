//! qib and its local EC2 in one process, on a clock that does not wait.
