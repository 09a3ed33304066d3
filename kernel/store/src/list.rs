//! [`List`]: a doubly linked list through the objects of an arena.

use crate::{Arena, Id};
use core::fmt;
use core::marker::PhantomData;

/// An object's place in a [`List`].
pub struct Link<T> {
    previous: Option<Id<T>>,
    next: Option<Id<T>>,
}

impl<T> Default for Link<T> {
    fn default() -> Self {
        Link { previous: None, next: None }
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:?} {:?}>", self.previous, self.next)
    }
}

/// An object that can be in a [`List`] of kind `Kind`, in one at a time. Its ids name `K`: see [`Arena`].
pub trait Linked<Kind, K = Self>: Sized {
    /// Returns the object's place in such a list.
    fn link(&mut self) -> &mut Link<K>;
    /// Returns the object's place in such a list.
    fn link_ref(&self) -> &Link<K>;
}

/// Implements [`Linked`] for a type that keeps its links in fields of its own: `linked!(Thread as tag::Thread, RunQueue:
/// run_link, Siblings: sibling_link)`, or without `as` where ids name the type itself.
#[macro_export]
macro_rules! linked {
    ($type:ty, $($kind:ty: $field:ident),+) => { $crate::linked!($type as $type, $($kind: $field),+); };
    ($type:ty as $tag:ty, $($kind:ty: $field:ident),+) => {$(
        impl $crate::Linked<$kind, $tag> for $type {
            fn link(&mut self) -> &mut $crate::Link<$tag> {
                &mut self.$field
            }
            fn link_ref(&self) -> &$crate::Link<$tag> {
                &self.$field
            }
        }
    )+};
}

/// A list through objects of an arena. All operations but walking it cost the same whatever its length, and none
/// allocates. The caller knows which list an object is in; the list does not check it.
pub struct List<K, Kind> {
    head: Option<Id<K>>,
    tail: Option<Id<K>>,
    len: usize,
    kind: PhantomData<fn() -> Kind>,
}

impl<K, Kind> fmt::Debug for List<K, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} from {:?} to {:?}]", self.len, self.head, self.tail)
    }
}

impl<K, Kind> Default for List<K, Kind> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, Kind> List<K, Kind> {
    /// An empty list.
    pub const fn new() -> Self {
        List { head: None, tail: None, len: 0, kind: PhantomData }
    }

    /// How many objects are in the list.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The first object.
    pub const fn front(&self) -> Option<Id<K>> {
        self.head
    }

    /// The last object.
    pub const fn back(&self) -> Option<Id<K>> {
        self.tail
    }
}

impl<K, Kind> List<K, Kind> {
    /// Adds an object at the end.
    #[inline]
    pub fn push_back<T: Linked<Kind, K>, const N: usize>(&mut self, arena: &mut Arena<T, N, K>, id: Id<K>) {
        *arena[id].link() = Link { previous: self.tail, next: None };
        match self.tail {
            Some(tail) => arena[tail].link().next = Some(id),
            None => self.head = Some(id),
        }
        self.tail = Some(id);
        self.len += 1;
    }

    /// Adds an object at the beginning.
    #[inline]
    pub fn push_front<T: Linked<Kind, K>, const N: usize>(&mut self, arena: &mut Arena<T, N, K>, id: Id<K>) {
        *arena[id].link() = Link { previous: None, next: self.head };
        match self.head {
            Some(head) => arena[head].link().previous = Some(id),
            None => self.tail = Some(id),
        }
        self.head = Some(id);
        self.len += 1;
    }

    /// Takes an object that is in this list out of it.
    #[inline]
    pub fn remove<T: Linked<Kind, K>, const N: usize>(&mut self, arena: &mut Arena<T, N, K>, id: Id<K>) {
        let Link { previous, next } = core::mem::take(arena[id].link());
        match previous {
            Some(previous) => arena[previous].link().next = next,
            None => self.head = next,
        }
        match next {
            Some(next) => arena[next].link().previous = previous,
            None => self.tail = previous,
        }
        self.len -= 1;
    }

    /// Takes the first object out.
    #[inline]
    pub fn pop_front<T: Linked<Kind, K>, const N: usize>(&mut self, arena: &mut Arena<T, N, K>) -> Option<Id<K>> {
        let id = self.head?;
        self.remove(arena, id);
        Some(id)
    }

    /// The object before `id`.
    pub fn before<T: Linked<Kind, K>, const N: usize>(&self, arena: &Arena<T, N, K>, id: Id<K>) -> Option<Id<K>> {
        arena[id].link_ref().previous
    }

    /// The object after `id`.
    pub fn after<T: Linked<Kind, K>, const N: usize>(&self, arena: &Arena<T, N, K>, id: Id<K>) -> Option<Id<K>> {
        arena[id].link_ref().next
    }

    /// The objects from first to last.
    pub fn iter<'a, T: Linked<Kind, K>, const N: usize>(
        &self,
        arena: &'a Arena<T, N, K>,
    ) -> impl Iterator<Item = Id<K>> + use<'a, T, Kind, N, K> {
        core::iter::successors(self.head, move |&id| arena[id].link_ref().next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Node {
        value: u32,
        link: Link<Node>,
    }

    struct Queue;

    linked!(Node, Queue: link);

    fn values(list: &List<Node, Queue>, arena: &Arena<Node>) -> Vec<u32> {
        let forward: Vec<u32> = list.iter(arena).map(|id| arena[id].value).collect();
        let mut backward: Vec<u32> =
            core::iter::successors(list.back(), |&id| list.before(arena, id)).map(|id| arena[id].value).collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert_eq!(forward.len(), list.len());
        forward
    }

    #[test]
    fn objects_enter_and_leave_at_any_place() {
        let mut arena = Arena::<Node>::new();
        let ids: Vec<_> = (0..5).map(|value| arena.insert(Node { value, ..Node::default() }).unwrap()).collect();
        let mut list = List::new();
        list.push_back(&mut arena, ids[1]);
        list.push_back(&mut arena, ids[2]);
        list.push_front(&mut arena, ids[0]);
        list.push_back(&mut arena, ids[3]);
        assert_eq!(values(&list, &arena), [0, 1, 2, 3]);
        list.remove(&mut arena, ids[2]);
        assert_eq!(values(&list, &arena), [0, 1, 3]);
        list.remove(&mut arena, ids[0]);
        list.remove(&mut arena, ids[3]);
        assert_eq!(values(&list, &arena), [1]);
        assert_eq!((list.front(), list.back()), (Some(ids[1]), Some(ids[1])));
        assert_eq!(list.pop_front(&mut arena), Some(ids[1]));
        assert!(list.is_empty() && list.pop_front(&mut arena).is_none() && list.back().is_none());
        list.push_front(&mut arena, ids[4]);
        assert_eq!((values(&list, &arena), list.after(&arena, ids[4])), (vec![4], None));
    }
}
