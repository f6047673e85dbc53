//! Some of many, from all over.

/// At most `limit` of the items, in their order: the heaviest of each stretch.
pub(crate) fn evenly<T>(items: Vec<T>, limit: usize, weight: impl Fn(&T) -> usize) -> Vec<T> {
    let count = items.len();
    if count <= limit {
        return items;
    }
    let mut stretches: Vec<Option<(usize, T)>> = Vec::new();
    stretches.resize_with(limit, || None);
    for (at, item) in items.into_iter().enumerate() {
        let Some(best) = stretches.get_mut(at * limit / count) else {
            continue;
        };
        let heaviness = weight(&item);
        if best.as_ref().is_none_or(|(other, _)| heaviness > *other) {
            *best = Some((heaviness, item));
        }
    }
    stretches
        .into_iter()
        .flatten()
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_of_each_stretch_is_chosen() {
        assert_eq!(evenly(vec![1, 5, 2, 9, 3, 4], 3, |&n| n), [5, 9, 4]);
        assert_eq!(evenly(vec![1, 2], 3, |&n| n), [1, 2]);
        assert_eq!(evenly(vec![1, 2], 0, |&n| n), Vec::<usize>::new());
    }
}
