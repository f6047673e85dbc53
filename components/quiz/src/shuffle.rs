//! Chance that can be repeated: the same seed, the same quiz.

/// SplitMix64 (Steele and others 2014).
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`; 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    /// In another order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

/// For `count` questions of `options` options, the place of each key: every place as often as any
/// other, give or take one. Of fewer questions than options, other places in each quiz.
pub fn key_places(count: usize, options: usize, rng: &mut Rng) -> Vec<usize> {
    let first = rng.below(options);
    let mut places: Vec<usize> = (0..count).map(|at| (first + at) % options.max(1)).collect();
    rng.shuffle(&mut places);
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spread_evenly_and_repeatably() {
        let places = key_places(10, 4, &mut Rng::new(7));
        for place in 0..4 {
            let count = places.iter().filter(|&&p| p == place).count();
            assert!((2..=3).contains(&count), "{places:?}");
        }
        assert_eq!(places, key_places(10, 4, &mut Rng::new(7)));
        assert_ne!(places, key_places(10, 4, &mut Rng::new(8)));
    }
}
