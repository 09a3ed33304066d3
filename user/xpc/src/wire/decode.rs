//! From bytes to objects.

use super::{ALIGNMENT, DEPTH_MAX, PREFIX, VERSION, tag};
use crate::{Dictionary, Endpoint, Object, SendRight, XpcError};
use alloc::string::String;
use alloc::vec::{self, Vec};
use core::fmt;
use minicbor::data::Type;

/// A descriptor of a received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Descriptor {
    /// A send right, or the dead name that it became on its way.
    Send(SendRight),
    /// Anything else: another kind of right, no right, memory. What it brought is still the caller's.
    Other,
}

/// Why bytes and descriptors are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The size is no multiple of four bytes.
    Unaligned,
    /// The version is another one.
    Version(u32),
    /// There are flags that do not exist.
    Flags(u32),
    /// The body ends before what it announces: a number, the bytes of a string, the elements of a container.
    Truncated,
    /// Bytes other than the padding follow the root.
    TrailingBytes,
    /// The root is no dictionary.
    RootNotDictionary,
    /// A key is no text.
    KeyNotString,
    /// A key occurs twice in a dictionary.
    DuplicateKey,
    /// The keys of a dictionary do not ascend.
    UnsortedKeys,
    /// A text is not UTF-8.
    NotUtf8,
    /// An item is of a type that no object has, or has no definite length.
    UnknownType,
    /// A tag belongs to no object.
    UnknownTag(u64),
    /// The item after a tag is of another type than the tag demands.
    WrongContent,
    /// A number or length is not in its shortest form.
    NotShortest,
    /// An integer is below those that an object can have, or above.
    IntegerOutOfRange,
    /// A UUID has another number of bytes than 16.
    UuidLength(usize),
    /// An error that does not exist.
    UnknownError(u64),
    /// Containers are nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// An object mentions a descriptor that the message does not have.
    NoSuchRight(u64),
    /// Two objects mention a descriptor.
    RightUsedTwice(u64),
    /// An object mentions a descriptor before those with lower indices have been mentioned.
    UnsortedRights(u64),
    /// An object mentions a descriptor that is not a send right.
    NotSendRight(u64),
    /// No object mentions some of the descriptors: this many.
    UnusedRights(usize),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeError::*;
        match self {
            Unaligned => write!(f, "the size is no multiple of {ALIGNMENT}"),
            Version(version) => write!(f, "the version is {version}, not {VERSION}"),
            Flags(flags) => write!(f, "there are unknown flags: {flags:#x}"),
            Truncated => f.write_str("the message ends too early"),
            TrailingBytes => f.write_str("bytes follow the root"),
            RootNotDictionary => f.write_str("the root is no dictionary"),
            KeyNotString => f.write_str("a key is no string"),
            DuplicateKey => f.write_str("a key occurs twice"),
            UnsortedKeys => f.write_str("keys are not sorted"),
            NotUtf8 => f.write_str("a string is not UTF-8"),
            UnknownType => f.write_str("an item has a type that no object has"),
            UnknownTag(tag) => write!(f, "there is no object with tag {tag}"),
            WrongContent => f.write_str("a tag and its item do not fit"),
            NotShortest => f.write_str("a number is not in its shortest form"),
            IntegerOutOfRange => f.write_str("an integer does not fit"),
            UuidLength(length) => write!(f, "a UUID has {length} bytes"),
            UnknownError(code) => write!(f, "there is no error {code}"),
            TooDeep => write!(f, "objects are nested deeper than {DEPTH_MAX} levels"),
            NoSuchRight(index) => write!(f, "there is no descriptor {index}"),
            RightUsedTwice(index) => write!(f, "descriptor {index} is used twice"),
            UnsortedRights(index) => write!(f, "descriptor {index} is used too early"),
            NotSendRight(index) => write!(f, "descriptor {index} is no send right"),
            UnusedRights(count) => write!(f, "{count} descriptors are not used"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Returns the dictionary in the body of a message with these descriptors (dispatch X-12).
///
/// # Errors
///
/// Every [`DecodeError`], for the first fault in the order of the bytes. All rights are then given back.
pub fn decode(body: &[u8], descriptors: Vec<Descriptor>) -> Result<Dictionary, DecodeError> {
    let Some((prefix, root)) = body.split_first_chunk::<PREFIX>() else { return Err(DecodeError::Truncated) };
    let [v0, v1, v2, v3, f0, f1, f2, f3] = *prefix;
    let (version, flags) = (u32::from_le_bytes([v0, v1, v2, v3]), u32::from_le_bytes([f0, f1, f2, f3]));
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    if flags != 0 {
        return Err(DecodeError::Flags(flags));
    }
    if !body.len().is_multiple_of(ALIGNMENT) {
        return Err(DecodeError::Unaligned);
    }
    let rights = Rights { next: 0, rest: descriptors.into_iter() };
    let mut reader = Reader { cbor: minicbor::Decoder::new(root), owed: 1, rights };
    reader.root()
}

/// The descriptors that no object has mentioned yet. Their order is that of the objects, so none is ever skipped.
struct Rights {
    next: u64,
    rest: vec::IntoIter<Descriptor>,
}

impl Rights {
    fn take(&mut self, index: u64) -> Result<SendRight, DecodeError> {
        if index < self.next {
            return Err(DecodeError::RightUsedTwice(index));
        }
        let skipped = index - self.next;
        if skipped > 0 && skipped < self.rest.len() as u64 {
            return Err(DecodeError::UnsortedRights(index));
        }
        if skipped > 0 {
            return Err(DecodeError::NoSuchRight(index));
        }
        self.next += 1;
        match self.rest.next() {
            Some(Descriptor::Send(right)) => Ok(right),
            Some(Descriptor::Other) => Err(DecodeError::NotSendRight(index)),
            None => Err(DecodeError::NoSuchRight(index)),
        }
    }
}

struct Reader<'a> {
    cbor: minicbor::Decoder<'a>,
    /// Items that were announced and have not begun yet, the next one included. Each takes at least one byte.
    owed: usize,
    rights: Rights,
}

impl<'a> Reader<'a> {
    fn root(&mut self) -> Result<Dictionary, DecodeError> {
        if self.begin()? != Type::Map {
            return Err(DecodeError::RootNotDictionary);
        }
        let root = self.dictionary(1)?;
        let rest = &self.cbor.input()[self.cbor.position()..];
        if rest.len() >= ALIGNMENT || rest.iter().any(|&byte| byte != 0) {
            return Err(DecodeError::TrailingBytes);
        }
        match self.rights.rest.len() {
            0 => Ok(root),
            unused => Err(DecodeError::UnusedRights(unused)),
        }
    }

    /// Begins an item that is owed, and returns its type.
    fn begin(&mut self) -> Result<Type, DecodeError> {
        self.owed -= 1;
        self.cbor.datatype().map_err(|_| DecodeError::Truncated)
    }

    /// Reads with a method of the codec, for whose type the caller has looked, and checks that a number or length
    /// stands there in its shortest form. `number` returns that and the bytes behind it.
    fn read<T>(
        &mut self,
        method: fn(&mut minicbor::Decoder<'a>) -> Result<T, minicbor::decode::Error>,
        number: fn(&T) -> (u64, usize),
    ) -> Result<T, DecodeError> {
        let start = self.cbor.position();
        let value = method(&mut self.cbor).map_err(|error| {
            if error.is_end_of_input() {
                DecodeError::Truncated
            } else if error.is_type_mismatch() {
                DecodeError::UnknownType
            } else {
                DecodeError::NotUtf8
            }
        })?;
        let (number, behind) = number(&value);
        if self.cbor.position() - start != minicbor::len(number) + behind {
            return Err(DecodeError::NotShortest);
        }
        Ok(value)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        self.read(|cbor| cbor.str(), |text| (text.len() as u64, text.len()))
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        self.read(|cbor| cbor.bytes(), |bytes| (bytes.len() as u64, bytes.len()))
    }

    fn unsigned(&mut self) -> Result<u64, DecodeError> {
        self.read(|cbor| cbor.u64(), |&value| (value, 0))
    }

    fn signed(&mut self) -> Result<i64, DecodeError> {
        // A negative number n stands as -1 - n, which is n with all its bits turned.
        let value =
            self.read(|cbor| cbor.int().map(i128::from), |&value| (if value < 0 { !value } else { value } as u64, 0))?;
        i64::try_from(value).map_err(|_| DecodeError::IntegerOutOfRange)
    }

    /// Notes that a container owes so many items for each of its elements, and returns the number of its elements. As
    /// the items fit the rest of the body, along with those owed before, memory for all of them may be allocated.
    fn announced(&mut self, elements: Option<u64>, items: usize) -> Result<usize, DecodeError> {
        let elements = usize::try_from(elements.ok_or(DecodeError::UnknownType)?).ok();
        let owed = elements.and_then(|elements| elements.checked_mul(items)?.checked_add(self.owed));
        let left = self.cbor.input().len() - self.cbor.position();
        match (elements, owed) {
            (Some(elements), Some(owed)) if owed <= left => {
                self.owed = owed;
                Ok(elements)
            }
            _ => Err(DecodeError::Truncated),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Dictionary, DecodeError> {
        let entries = self.read(|cbor| cbor.map(), |entries| (entries.unwrap_or(0), 0))?;
        let count = self.announced(entries, 2)?;
        if depth > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        let mut entries: Vec<(String, Object)> = Vec::with_capacity(count);
        for _ in 0..count {
            if self.begin()? != Type::String {
                return Err(DecodeError::KeyNotString);
            }
            let key = self.text()?;
            match entries.last().map(|(last, _)| last.as_str().cmp(key)) {
                Some(core::cmp::Ordering::Equal) => return Err(DecodeError::DuplicateKey),
                Some(core::cmp::Ordering::Greater) => return Err(DecodeError::UnsortedKeys),
                Some(core::cmp::Ordering::Less) | None => {}
            }
            let value = self.object(depth)?;
            entries.push((key.into(), value));
        }
        Ok(Dictionary::from_sorted(entries))
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Object>, DecodeError> {
        let elements = self.read(|cbor| cbor.array(), |elements| (elements.unwrap_or(0), 0))?;
        let count = self.announced(elements, 1)?;
        if depth > DEPTH_MAX {
            return Err(DecodeError::TooDeep);
        }
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(self.object(depth)?);
        }
        Ok(elements)
    }

    /// Reads an object in a container at this depth.
    fn object(&mut self, depth: usize) -> Result<Object, DecodeError> {
        Ok(match self.begin()? {
            Type::Null => {
                self.read(|cbor| cbor.null(), |()| (0, 0))?;
                Object::Null
            }
            Type::Bool => Object::Bool(self.read(|cbor| cbor.bool(), |_| (0, 0))?),
            kind if is_integer(kind) => Object::Int64(self.signed()?),
            Type::F64 => Object::Double(self.read(|cbor| cbor.f64(), |_| (0, size_of::<f64>()))?),
            Type::Bytes => Object::Data(self.bytes()?.into()),
            Type::String => Object::String(self.text()?.into()),
            Type::Array => Object::Array(self.array(depth + 1)?),
            Type::Map => Object::Dictionary(self.dictionary(depth + 1)?),
            Type::Tag => self.tagged()?,
            _ => return Err(DecodeError::UnknownType),
        })
    }

    fn tagged(&mut self) -> Result<Object, DecodeError> {
        let tag = self.read(|cbor| cbor.tag().map(|tag| tag.as_u64()), |&tag| (tag, 0))?;
        let content = self.cbor.datatype().map_err(|_| DecodeError::Truncated);
        let demanded: fn(Type) -> bool = match tag {
            tag::UUID => |kind| kind == Type::Bytes,
            tag::DATE => is_integer,
            tag::UINT64 | tag::ENDPOINT | tag::MACH_SEND | tag::ERROR => is_unsigned,
            _ => return Err(DecodeError::UnknownTag(tag)),
        };
        if !demanded(content?) {
            return Err(DecodeError::WrongContent);
        }
        Ok(match tag {
            tag::UUID => {
                let bytes = self.bytes()?;
                Object::Uuid(bytes.try_into().map_err(|_| DecodeError::UuidLength(bytes.len()))?)
            }
            tag::DATE => Object::Date(self.signed()?),
            tag::UINT64 => Object::UInt64(self.unsigned()?),
            tag::ENDPOINT => Object::Endpoint(Endpoint::new(self.right()?)),
            tag::MACH_SEND => Object::MachSend(self.right()?),
            _ => Object::Error(match self.unsigned()? {
                0 => XpcError::Interrupted,
                1 => XpcError::Invalid,
                2 => XpcError::TerminationImminent,
                code => return Err(DecodeError::UnknownError(code)),
            }),
        })
    }

    fn right(&mut self) -> Result<SendRight, DecodeError> {
        let index = self.unsigned()?;
        self.rights.take(index)
    }
}

fn is_unsigned(kind: Type) -> bool {
    matches!(kind, Type::U8 | Type::U16 | Type::U32 | Type::U64)
}

fn is_integer(kind: Type) -> bool {
    is_unsigned(kind) || matches!(kind, Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int)
}
