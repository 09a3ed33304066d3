//! [`List`]: a doubly linked list through the objects of an arena.

#[cfg(test)]
use crate::Arena;
use crate::Id;
use core::fmt;
use core::marker::PhantomData;
use core::ops::IndexMut;

/// An object's place in a [`List`]: the ids of its neighbours.
pub struct Link<Tag> {
    previous: Option<Id<Tag>>,
    next: Option<Id<Tag>>,
}

impl<Tag> Default for Link<Tag> {
    fn default() -> Self {
        Link { previous: None, next: None }
    }
}

impl<Tag> fmt::Debug for Link<Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:?} {:?}>", self.previous, self.next)
    }
}

/// An object that can be in a [`List`] of kind `Kind`, in one such list at a time. The macro [`linked!`](crate::linked)
/// implements it.
///
/// `Tag` is the tag of the object's [`Arena`].
pub trait Linked<Kind, Tag = Self>: Sized {
    /// Returns the object's place in a list of this kind.
    fn link(&mut self) -> &mut Link<Tag>;
    /// Returns the object's place in a list of this kind.
    fn link_ref(&self) -> &Link<Tag>;
}

/// Implements [`Linked`] for a type: names each kind of list that its objects can be in, and the field with the
/// [`Link`].
///
/// ```
/// use store::{Arena, Link, List, linked};
///
/// /// The list of all jobs.
/// enum All {}
/// /// The list of the jobs that are ready.
/// enum Ready {}
///
/// #[derive(Default)]
/// struct Job {
///     all: Link<Job>,
///     ready: Link<Job>,
/// }
/// linked!(Job, All: all, Ready: ready);
///
/// let mut jobs = Arena::<Job>::new();
/// let (mut all, mut ready) = (List::<Job, All>::new(), List::<Job, Ready>::new());
/// let (a, b) = (jobs.insert(Job::default())?, jobs.insert(Job::default())?);
/// all.push_back(&mut jobs, a);
/// all.push_back(&mut jobs, b);
/// ready.push_back(&mut jobs, b);
/// assert!(all.iter(&jobs).eq([a, b]));
/// assert!(ready.iter(&jobs).eq([b]));
/// # Ok::<(), store::NoMemory>(())
/// ```
///
/// Where the arena has a [tag](Arena#tags) of its own, so has the link: `linked!(Job as JobTag, All: all)` with a field
/// `all: Link<JobTag>`.
#[macro_export]
macro_rules! linked {
    ($object:ty, $($kind:ty: $field:ident),+ $(,)?) => { $crate::linked!($object as $object, $($kind: $field),+); };
    ($object:ty as $tag:ty, $($kind:ty: $field:ident),+ $(,)?) => {$(
        impl $crate::Linked<$kind, $tag> for $object {
            #[inline(always)]
            fn link(&mut self) -> &mut $crate::Link<$tag> {
                &mut self.$field
            }

            #[inline(always)]
            fn link_ref(&self) -> &$crate::Link<$tag> {
                &self.$field
            }
        }
    )+};
}

/// A table whose objects can be in lists of this kind: an [`Arena`](crate::Arena) or [`Singles`](crate::Singles).
pub trait Objects<Kind, Tag>: IndexMut<Id<Tag>, Output: Linked<Kind, Tag>> {}

impl<Kind, Tag, A: IndexMut<Id<Tag>, Output: Linked<Kind, Tag>>> Objects<Kind, Tag> for A {}

/// A list through objects of an [`Arena`](crate::Arena) or [`Singles`](crate::Singles) with this tag. All operations but iteration take constant time, and none
/// allocates. The caller knows which list an object is in; the list does not check it.
pub struct List<Tag, Kind> {
    head: Option<Id<Tag>>,
    tail: Option<Id<Tag>>,
    len: usize,
    kind: PhantomData<fn() -> Kind>,
}

impl<Tag, Kind> fmt::Debug for List<Tag, Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} from {:?} to {:?}]", self.len, self.head, self.tail)
    }
}

impl<Tag, Kind> Default for List<Tag, Kind> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Tag, Kind> List<Tag, Kind> {
    /// Returns an empty list.
    pub const fn new() -> Self {
        List { head: None, tail: None, len: 0, kind: PhantomData }
    }

    /// Returns the number of objects in the list.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns true if the list is empty.
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Returns the first object.
    pub const fn front(&self) -> Option<Id<Tag>> {
        self.head
    }

    /// Returns the last object.
    pub const fn back(&self) -> Option<Id<Tag>> {
        self.tail
    }

    /// Adds an object at the end.
    #[inline]
    pub fn push_back<A: Objects<Kind, Tag>>(&mut self, arena: &mut A, id: Id<Tag>) {
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
    pub fn push_front<A: Objects<Kind, Tag>>(&mut self, arena: &mut A, id: Id<Tag>) {
        *arena[id].link() = Link { previous: None, next: self.head };
        match self.head {
            Some(head) => arena[head].link().previous = Some(id),
            None => self.tail = Some(id),
        }
        self.head = Some(id);
        self.len += 1;
    }

    /// Removes an object, which must be in this list.
    #[inline]
    pub fn remove<A: Objects<Kind, Tag>>(&mut self, arena: &mut A, id: Id<Tag>) {
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

    /// Removes the first object.
    #[inline]
    pub fn pop_front<A: Objects<Kind, Tag>>(&mut self, arena: &mut A) -> Option<Id<Tag>> {
        let id = self.head?;
        self.remove(arena, id);
        Some(id)
    }

    /// Removes the first object of a list that has one, and adds another one at the end, which is in no list.
    #[inline(always)]
    pub fn replace_front<A: Objects<Kind, Tag>>(&mut self, arena: &mut A, id: Id<Tag>) {
        let front = self.head.expect("the list has a first object");
        if self.tail == Some(front) {
            // The links of both are those of objects in no list, and stay so.
            (self.head, self.tail) = (Some(id), Some(id));
            return;
        }
        let next = core::mem::take(arena[front].link()).next.expect("a list of several objects has a second one");
        let tail = self.tail.replace(id).expect("a list with a first object has a last one");
        arena[next].link().previous = None;
        arena[tail].link().next = Some(id);
        *arena[id].link() = Link { previous: Some(tail), next: None };
        self.head = Some(next);
    }

    /// Returns the object before `id`.
    pub fn before<A: Objects<Kind, Tag>>(&self, arena: &A, id: Id<Tag>) -> Option<Id<Tag>> {
        arena[id].link_ref().previous
    }

    /// Returns the object after `id`.
    pub fn after<A: Objects<Kind, Tag>>(&self, arena: &A, id: Id<Tag>) -> Option<Id<Tag>> {
        arena[id].link_ref().next
    }

    /// Returns the objects from first to last.
    pub fn iter<'a, A: Objects<Kind, Tag>>(
        &self,
        arena: &'a A,
    ) -> impl Iterator<Item = Id<Tag>> + use<'a, A, Tag, Kind> {
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
    fn objects_can_be_added_at_both_ends_and_removed_anywhere() {
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

    #[test]
    fn the_first_object_can_be_replaced_by_one_at_the_end() {
        let mut arena = Arena::<Node>::new();
        let ids: Vec<_> = (0..4).map(|value| arena.insert(Node { value, ..Node::default() }).unwrap()).collect();
        let mut list = List::new();
        list.push_back(&mut arena, ids[0]);
        for (added, expected) in [(1, vec![1]), (0, vec![0])] {
            list.replace_front(&mut arena, ids[added]);
            assert_eq!(values(&list, &arena), expected);
        }
        list.push_back(&mut arena, ids[1]);
        list.push_back(&mut arena, ids[2]);
        for (added, expected) in [(3, vec![1, 2, 3]), (0, vec![2, 3, 0]), (1, vec![3, 0, 1])] {
            list.replace_front(&mut arena, ids[added]);
            assert_eq!(values(&list, &arena), expected);
        }
    }

    #[test]
    fn an_object_can_be_in_lists_of_several_kinds_and_its_ids_can_have_a_tag() {
        enum Tag {}
        enum First {}
        enum Second {}
        #[derive(Default)]
        struct Object {
            first: Link<Tag>,
            second: Link<Tag>,
        }
        linked!(Object as Tag, First: first, Second: second);

        let mut arena = Arena::<Object, 4, Tag>::new();
        let ids = [(); 3].map(|()| arena.insert(Object::default()).unwrap());
        let (mut first, mut second) = (List::<Tag, First>::new(), List::<Tag, Second>::new());
        for id in ids {
            first.push_back(&mut arena, id);
            second.push_front(&mut arena, id);
        }
        first.remove(&mut arena, ids[0]);
        assert!(first.iter(&arena).eq([ids[1], ids[2]]));
        assert!(second.iter(&arena).eq([ids[2], ids[1], ids[0]]));
    }
}
