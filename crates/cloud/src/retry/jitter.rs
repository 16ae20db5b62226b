//! Chance for pauses, from a seed: a run of a simulation can be repeated.

/// A stream of fractions. SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), which
/// is enough to spread callers out.
#[derive(Clone, Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    /// The stream of one call: differs by the process's seed, the call, its resource and its number.
    pub(super) fn new(seed: u64, operation: &str, resource: &str, number: u64) -> Self {
        let mut state = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for byte in operation.bytes().chain([0]).chain(resource.bytes()) {
            // FNV-1a.
            state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(state)
    }

    /// The next fraction, from 0 to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bits = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64, operation: &str, number: u64) -> Vec<u64> {
        let mut jitter = Jitter::new(seed, operation, "i-1", number);
        (0..4).map(|_| jitter.fraction().to_bits()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_stream_and_anything_else_another() {
        let one = stream(1, "StopInstances", 0);
        assert_eq!(one, stream(1, "StopInstances", 0));
        assert_ne!(one, stream(2, "StopInstances", 0));
        assert_ne!(one, stream(1, "RunInstances", 0));
        assert_ne!(one, stream(1, "StopInstances", 1));
    }

    #[test]
    fn fractions_fill_the_range_evenly() {
        let mut jitter = Jitter::new(7, "DescribeInstances", "", 0);
        let mut tenths = [0_u32; 10];
        for _ in 0..10_000 {
            let fraction = jitter.fraction();
            assert!((0.0..=1.0).contains(&fraction));
            let tenth = (0..10).rfind(|n| fraction * 10.0 >= f64::from(*n)).unwrap();
            tenths[usize::try_from(tenth).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| (800..1200).contains(n)), "{tenths:?}");
    }
}
