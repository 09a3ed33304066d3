//! [`UserData`]: the manager of strings of bytes (vouchers 6.1).

use crate::manager::{AttributeManager, CallingTask, ManagerValue, OutBuffer, ValueRequest};
use crate::{Error, HandleKind, Key, Registration, ReleaseRequest};
use abi::voucher::*;
use alloc::boxed::Box;
use core::hash::Hasher;
use core::task::Poll;
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use store::{Chain, Compaction, Id, LinearIndex, NoMemory, Singles, chained};

/// The length of the longest content that is stored without an allocation of its own.
const SHORT: usize = 64;

/// The handle of the empty content, which is the default.
const EMPTY: u64 = 0;

/// The manager of contents. Equal contents are one value.
///
/// Each key has a manager of its own, so that equal contents of two keys are counted separately (quirk Q10).
#[derive(Debug)]
pub struct UserData {
    contents: Singles<Content>,
    index: LinearIndex<1024>,
    /// All numbers of the hash function are secret, because programs choose what is hashed: a content that cancels a number
    /// that they know would have the same hash whatever the rest of it is.
    secret: SharedSeed,
    start: u64,
}

#[derive(Debug)]
struct Content {
    made: u64,
    chain: Chain,
    bytes: Bytes,
}

chained!(Content: chain);

/// The bytes of a content, in place if they are short.
#[derive(Debug)]
enum Bytes {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Bytes {
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Bytes::Short { len, bytes } => &mut bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }

    #[inline]
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Short { len, bytes } => &bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl UserData {
    /// Makes room for the addresses of so many contents, which is never given back. Until there are more, growth of the
    /// table moves nothing.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out; nothing has changed.
    pub fn set_places(&mut self, contents: usize) -> Result<(), NoMemory> {
        self.contents.set_places(contents)
    }

    /// Gives back what the table does not need any more, up to a bound, and returns true if there is more.
    pub fn trim(&mut self) -> bool {
        self.index.trim(&mut self.contents) || self.contents.trim()
    }

    /// Goes on with a round of compaction.
    pub fn compact(&mut self, compaction: &mut Compaction) {
        self.contents.compact(compaction, |compaction, content| {
            if let Bytes::Long(bytes) = &mut content.bytes {
                let mut vec = core::mem::take(bytes).into_vec();
                compaction.move_down(&mut vec);
                *bytes = vec.into_boxed_slice();
            }
        });
    }

    /// Returns a manager without contents. `seed` should be hard to guess: it decides which contents share a hash
    /// bucket.
    pub fn new(seed: u64) -> Self {
        let (secret, start) = (SharedSeed::from_u64(seed), seed.rotate_left(32));
        UserData { contents: Singles::new(), index: LinearIndex::new(), secret, start }
    }

    /// Returns the number of contents.
    pub fn len(&self) -> usize {
        self.contents.len()
    }

    /// Returns true if there are no contents.
    pub fn is_empty(&self) -> bool {
        self.contents.is_empty()
    }

    /// Returns the content with this handle.
    pub fn content(&self, handle: u64) -> Option<&[u8]> {
        Some(self.contents.get(Id::from_bits(handle)?)?.bytes.as_slice())
    }

    /// Returns the number of made references of a handle.
    pub fn made(&self, handle: u64) -> Option<u64> {
        Some(self.contents.get(Id::from_bits(handle)?)?.made)
    }

    /// Returns two sizes in bytes: of a content that is stored in place, and of the index of all contents.
    pub fn bytes(&self) -> (usize, usize) {
        (size_of::<Content>(), self.index.bytes())
    }

    /// Hands out a content once more and returns its handle.
    fn hand_out(&mut self, id: Id<Content>) -> Result<u64, Error> {
        let content = self.contents.get_mut(id).ok_or(Error::InvalidArgument)?;
        content.made = content.made.checked_add(1).ok_or(Error::ResourceShortage)?;
        Ok(id.to_bits())
    }

    fn hash(&self, content: &[u8]) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.start, &self.secret);
        hasher.write(content);
        hasher.finish() as u32
    }

    /// Hands out a content, new or known, and returns its handle.
    fn store(&mut self, content: &[u8]) -> Result<u64, Error> {
        if content.len() > USER_DATA_MAX_DATA {
            return Err(Error::ResourceShortage);
        }
        if content.is_empty() {
            return Ok(EMPTY);
        }
        let hash = self.hash(content);
        if let Some(index) = self.index.find(&self.contents, hash, |stored| stored.bytes.as_slice() == content) {
            let (id, _) = self.contents.at(index).expect("an indexed content exists");
            return self.hand_out(id);
        }
        self.index.reserve()?;
        self.contents.reserve()?;
        let len = content.len();
        let long = if len > SHORT { Some(store::try_vec(0, len)?.into_boxed_slice()) } else { None };
        self.index.prepare(&mut self.contents);
        let mut chain = |id: Id<Content>| self.index.push(id.index(), hash);
        let id = self.contents.insert_reserved(|id| {
            let bytes = match long {
                Some(bytes) => Bytes::Long(bytes),
                None => Bytes::Short { len: len as u8, bytes: [0; SHORT] },
            };
            Content { made: 1, chain: chain(id), bytes }
        });
        self.contents[id].bytes.as_mut_slice().copy_from_slice(content);
        Ok(id.to_bits())
    }

    /// Hands out the previous content again.
    fn redeem(&mut self, previous: Option<u64>) -> Result<u64, Error> {
        match previous {
            Some(handle) => self.hand_out(Id::from_bits(handle).ok_or(Error::InvalidArgument)?),
            None => Ok(EMPTY),
        }
    }

    /// Removes a content if the offer is equal to its made references.
    fn release_handle(&mut self, handle: u64, sync: u64) -> Result<(), Error> {
        let id = Id::from_bits(handle).ok_or(Error::Failure)?;
        if self.contents.get(id).ok_or(Error::Failure)?.made != sync {
            return Err(Error::Failure);
        }
        self.index.remove(&mut self.contents, id.index());
        self.contents.discard(id);
        Ok(())
    }
}

impl AttributeManager for UserData {
    fn registration(&self) -> Registration {
        Registration { handles: HandleKind::Ids, ..Registration::default() }
    }

    #[inline]
    fn get_value(
        &mut self,
        _caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        let handle = match request.command {
            MACH_VOUCHER_ATTR_USER_DATA_STORE => self.store(content),
            MACH_VOUCHER_ATTR_REDEEM => self.redeem(request.previous),
            _ => Err(Error::InvalidArgument),
        };
        Poll::Ready(handle.map(ManagerValue::counted))
    }

    #[inline]
    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        Poll::Ready(self.release_handle(request.handle, request.sync))
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        let content = self.content(handle).ok_or(Error::InvalidArgument)?;
        // With an empty buffer this succeeds without a result (quirk Q06).
        if out.capacity() > 0 {
            out.put(content)?;
        }
        Ok(MACH_VOUCHER_ATTR_USER_DATA_STORE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_of_any_length_are_one_value() {
        let mut manager = UserData::new(1);
        let long = [7; 1000];
        for content in [&b"a"[..], &[1; 64], &[1; 65], &long] {
            let handle = manager.store(content).unwrap();
            assert_eq!(manager.store(content), Ok(handle));
            assert_eq!((manager.content(handle), manager.made(handle)), (Some(content), Some(2)));
        }
        assert_eq!(manager.len(), 4);
    }

    #[test]
    fn a_value_is_released_only_with_all_its_made_references() {
        let mut manager = UserData::new(1);
        let handle = manager.store(b"a").unwrap();
        manager.redeem(Some(handle)).unwrap();
        assert_eq!(manager.release_handle(handle, 1), Err(Error::Failure));
        assert_eq!((manager.release_handle(handle, 2), manager.len()), (Ok(()), 0));
        assert_eq!(manager.release_handle(handle, 2), Err(Error::Failure), "a handle is not reused");
        assert_eq!(manager.redeem(Some(handle)), Err(Error::InvalidArgument));
    }

    /// A number of the hash function as everybody knows it: with it as the second half of a content of 16 bytes, the hash
    /// would not depend on the first.
    const KNOWN: u64 = 0x3f84_d5b5_b547_0917;

    #[test]
    fn nobody_can_choose_contents_with_the_same_hash() {
        let manager = UserData::new(1);
        let content = |number: u64| [number.to_le_bytes(), KNOWN.to_le_bytes()].concat();
        let hashes: std::collections::HashSet<u32> = (0..1000).map(|number| manager.hash(&content(number))).collect();
        assert!(hashes.len() > 990, "{} different hashes of 1000", hashes.len());
    }

    #[test]
    fn content_is_limited_and_empty_content_is_the_default() {
        let mut manager = UserData::new(1);
        assert!(manager.store(&vec![1; USER_DATA_MAX_DATA]).is_ok());
        assert_eq!(manager.store(&vec![1; USER_DATA_MAX_DATA + 1]), Err(Error::ResourceShortage));
        assert_eq!(manager.store(b""), Ok(EMPTY));
    }

    #[test]
    fn a_count_at_its_limit_is_an_error() {
        let mut manager = UserData::new(1);
        let handle = manager.store(b"a").unwrap();
        manager.contents[Id::from_bits(handle).unwrap()].made = u64::MAX;
        assert_eq!(manager.store(b"a"), Err(Error::ResourceShortage));
        assert_eq!(manager.made(handle), Some(u64::MAX));
    }
}
