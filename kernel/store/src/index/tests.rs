//! Tests of indexes that grow and shrink by a bucket at a time.

use super::*;

#[derive(Default)]
struct Word {
    key: u32,
    chain: Chain,
}

chained!(Word: chain);

/// A multiplier that spreads keys over all bits of a hash (2³² divided by the golden ratio).
const SPREAD: u32 = 0x9E37_79B9;

#[test]
fn without_room_for_more_buckets_chains_grow_longer() {
    let mut words = Slab::<Word>::new();
    let mut index = LinearIndex::<64>::new();
    index.reserve().unwrap();
    for key in 0..1000u32 {
        let number = words.insert(Word { key, ..Word::default() }).unwrap();
        index.insert(&mut words, number, key.wrapping_mul(SPREAD));
    }
    assert_eq!((index.len(), index.buckets, index.bytes()), (1000, 64, 512));
    for key in (0..1000).step_by(2) {
        let hash = u32::wrapping_mul(key, SPREAD);
        let number = index.find(&words, hash, |word| word.key == key).unwrap();
        index.remove(&mut words, number);
        words.remove(number);
        assert_eq!(index.find(&words, hash, |word| word.key == key), None);
    }
    let mut left: Vec<u32> = index.iter(&words).map(|number| words[number].key).collect();
    left.sort_unstable();
    assert_eq!(left, (0..500).map(|half| 2 * half + 1).collect::<Vec<_>>());
}

/// Returns an index of words with these hashes, which are also their keys. All fall into one bucket.
fn chained(hashes: &[u32]) -> (Slab<Word>, LinearIndex) {
    let (mut words, mut index) = (Slab::new(), LinearIndex::new());
    for &key in hashes {
        index.reserve().unwrap();
        let number = words.insert(Word { key, ..Word::default() }).unwrap();
        index.insert(&mut words, number, key);
    }
    (words, index)
}

/// Searches for a word and returns its number and the steps that the search took.
fn find(index: &LinearIndex, words: &Slab<Word>, hash: u32) -> (Option<u32>, u64) {
    steps::take();
    (index.find(words, hash, |word| word.key == hash), steps::take())
}

#[test]
fn a_miss_probes_only_the_bucket_unless_its_chain_is_shared() {
    const HASHES: [u32; 3] = [0x100, 0x200, 0x300];
    const ABSENT: u32 = 0x400;
    const BUCKET: u64 = 1;
    const ENTRY: u64 = 1;
    for left in 0..3 {
        for first_gone in (0..3).filter(|&number| number != left) {
            let (mut words, mut index) = chained(&HASHES);
            assert_eq!(find(&index, &words, ABSENT), (None, BUCKET + 3 * ENTRY));
            for number in [first_gone, 3 - left - first_gone] {
                index.remove(&mut words, number);
                words.remove(number);
            }
            assert_eq!(find(&index, &words, ABSENT), (None, BUCKET), "only {left} is left");
            assert_eq!(find(&index, &words, HASHES[left as usize]), (Some(left), BUCKET + ENTRY));
            index.remove(&mut words, left);
            assert_eq!(find(&index, &words, HASHES[left as usize]), (None, BUCKET));
        }
    }
}

#[test]
fn hashes_that_differ_only_in_the_bit_that_a_bucket_does_not_store_are_told_apart() {
    let (words, index) = chained(&[0x100]);
    assert_eq!(find(&index, &words, 0x100 | MORE), (None, 2));
    let (words, index) = chained(&[0x100, 0x100 | MORE]);
    assert_eq!((find(&index, &words, 0x100).0, find(&index, &words, 0x100 | MORE).0), (Some(0), Some(1)));
}

#[test]
fn an_index_gets_smaller_with_its_entries_and_finds_the_others() {
    const ENTRIES: u32 = 5000;
    let (mut words, mut index) = (Slab::<Word>::new(), LinearIndex::<64>::new());
    let mut sizes = [0; 2];
    for size in &mut sizes {
        for key in 0..ENTRIES {
            index.reserve().unwrap();
            let number = words.insert(Word { key, ..Word::default() }).unwrap();
            index.insert(&mut words, number, key.wrapping_mul(SPREAD));
        }
        *size = index.bytes();
        let find = |index: &LinearIndex<64>, words: &Slab<Word>, key: u32| {
            index.find(words, key.wrapping_mul(SPREAD), |word| word.key == key)
        };
        for key in 0..ENTRIES {
            let number = find(&index, &words, key).expect("it is there");
            index.remove(&mut words, number);
            words.remove(number);
            assert_eq!(find(&index, &words, key), None);
            for other in
                [key + 1, key + (ENTRIES - key) / 2].into_iter().filter(|&other| key < other && other < ENTRIES)
            {
                assert!(find(&index, &words, other).is_some(), "{other} after {key}");
            }
            assert!(index.buckets >= 2 * index.len() && index.buckets <= 2 * index.len() + 64, "{index:?}");
        }
        assert_eq!(index.bytes(), 64 * size_of::<Head>(), "the first buckets stay");
    }
    assert_eq!(sizes[0], sizes[1]);
}

#[test]
fn entries_in_an_arena_with_equal_hashes_are_told_apart_by_their_keys() {
    const HASH: u32 = 7;
    let mut words = Arena::<Word>::new();
    let mut index = LinearIndex::<128>::new();
    index.reserve().unwrap();
    let a = words.insert(Word { key: 1, ..Word::default() }).unwrap();
    let b = words.insert(Word { key: 2, ..Word::default() }).unwrap();
    index.insert(&mut words, a.index(), HASH);
    index.insert(&mut words, b.index(), HASH);
    let find = |index: &LinearIndex<128>, words: &Arena<Word>, key| index.find(words, HASH, |word| word.key == key);
    assert_eq!((find(&index, &words, 1), find(&index, &words, 2)), (Some(a.index()), Some(b.index())));
    index.remove(&mut words, a.index());
    assert_eq!((find(&index, &words, 1), find(&index, &words, 2)), (None, Some(b.index())));
}

#[test]
fn a_trimmed_index_is_as_large_as_one_that_has_only_grown() {
    const MOST: u32 = 5_000;
    let hash = |key: u32| key.wrapping_mul(SPREAD);
    let add = |words: &mut Slab<Word>, index: &mut LinearIndex<64>, key: u32| {
        index.reserve().unwrap();
        let number = words.insert(Word { key, ..Word::default() }).unwrap();
        index.insert(words, number, hash(key));
    };
    for left in [0, 1, 31, 32, 33, 64, 1_000] {
        let (mut words, mut index) = (Slab::new(), LinearIndex::new());
        (0..left).for_each(|key| add(&mut words, &mut index, key));
        let (buckets, bytes, room) = (index.buckets, index.bytes(), index.heads.capacity());
        (left..MOST).for_each(|key| add(&mut words, &mut index, key));
        for key in left..MOST {
            let number = index.find(&words, hash(key), |word| word.key == key).unwrap();
            index.remove(&mut words, number);
            words.remove(number);
        }
        while index.trim(&mut words) {}
        assert_eq!((index.buckets, index.bytes(), index.heads.capacity()), (buckets, bytes, room), "{left} words");
        (0..left).for_each(|key| {
            assert!(index.find(&words, hash(key), |word| word.key == key).is_some());
        });
        // It grows as before.
        (left..MOST).for_each(|key| add(&mut words, &mut index, key));
        assert_eq!(index.buckets, 2 * MOST as usize);
    }
}
