//! How a call of the port is handed on with its repeats.

/// Implements the methods of a port's trait, one row for each: its signature, its nature, EC2's name of it, and the
/// resource it is about.
macro_rules! repeated_calls {
    (
        impl $port:ident for $repeating:ty { $($extra:tt)* }
        $(
            $(#[$reason:meta])*
            $method:ident($($name:ident: $kind:ty),*) -> $answer:ty = $nature:expr, $operation:literal of $resource:expr;
        )*
    ) => {
        #[async_trait]
        impl $port for $repeating {
            $($extra)*
            $(
                $(#[$reason])*
                async fn $method(&self, $($name: $kind),*) -> Result<$answer> {
                    self.attempts
                        .of($operation, $resource, $nature, || self.inner.$method($($name),*))
                        .await
                }
            )*
        }
    };
}

pub(super) use repeated_calls;
