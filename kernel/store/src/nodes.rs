//! [`Nodes`]: lists with nodes that are reserved before they are needed.

use crate::{Chunks, NoMemory};

/// The number of nodes that are allocated together.
const TOGETHER: usize = 64;

/// Times that many nodes go back in one call of [`Nodes::trim`].
const TRIMMED: usize = 8;

/// A pool of list nodes. Code that may add items to a list later [reserves](Nodes::reserve) a node for each item in
/// advance, so that adding an item never fails. Several [`NodeList`]s share a pool.
#[derive(Debug)]
pub struct Nodes<T> {
    nodes: Chunks<Node<T>, TOGETHER>,
    /// The head of the list of free nodes among the first [`touched`](Nodes::touched) ones.
    free: Option<u32>,
    /// The nodes from this one on are free, too.
    touched: usize,
    /// The number of reserved nodes, in use or not.
    reserved: usize,
    in_use: usize,
}

#[derive(Debug)]
struct Node<T> {
    item: Option<T>,
    next: Option<u32>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node { item: None, next: None }
    }
}

/// A list of items in the nodes of a [`Nodes`] pool. All calls for a list must use the same pool.
#[derive(Debug, Default, PartialEq, Eq)]
#[must_use = "items on a list that is dropped keep their nodes"]
pub struct NodeList {
    ends: Option<(u32, u32)>,
}

impl NodeList {
    /// Returns a list without items.
    pub const fn new() -> NodeList {
        NodeList { ends: None }
    }

    /// Returns true if the list has no items.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    /// Returns the list and leaves an empty one in its place.
    #[inline]
    pub fn take(&mut self) -> NodeList {
        core::mem::take(self)
    }
}

impl<T> Default for Nodes<T> {
    fn default() -> Self {
        Nodes { nodes: Chunks::new(), free: None, touched: 0, reserved: 0, in_use: 0 }
    }
}

impl<T> Nodes<T> {
    /// Size of the node of one item, in bytes.
    pub const ITEM_SIZE: usize = size_of::<Node<T>>();

    /// Reserves nodes for `count` items.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the pool is unchanged.
    #[inline]
    pub fn reserve(&mut self, count: usize) -> Result<(), NoMemory> {
        if self.nodes.len() < self.reserved + count {
            self.grow(count)?;
        }
        self.reserved += count;
        Ok(())
    }

    #[cold]
    fn grow(&mut self, count: usize) -> Result<(), NoMemory> {
        while self.nodes.len() < self.reserved + count {
            self.nodes.grow()?;
        }
        Ok(())
    }

    /// Gives back memory that is neither in use nor reserved, up to a bound, and returns true if there is more. While a
    /// node is in use, nothing can be given back.
    pub fn trim(&mut self) -> bool {
        if self.in_use > 0 {
            return false;
        }
        (self.free, self.touched) = (None, 0);
        for _ in 0..TRIMMED {
            if self.nodes.len() < self.reserved + TOGETHER {
                self.nodes.trim();
                return false;
            }
            self.nodes.shrink();
        }
        true
    }

    /// Cancels the reservation of `count` nodes, which must not be in use.
    #[inline]
    pub fn release(&mut self, count: usize) {
        self.reserved -= count;
        debug_assert!(self.in_use <= self.reserved, "a node in use is released");
    }

    /// Returns the number of reserved nodes.
    pub fn reserved(&self) -> usize {
        self.reserved
    }

    /// Takes a free node for an item and returns its index.
    fn fill(&mut self, item: T, next: Option<u32>) -> u32 {
        assert!(self.in_use < self.reserved, "an item is added for which no node was reserved");
        self.in_use += 1;
        let index = match self.free {
            Some(index) => index,
            None => self.touch(),
        };
        let node = &mut self.nodes[index as usize];
        self.free = node.next;
        *node = Node { item: Some(item), next };
        index
    }

    /// Returns a node that was not used before.
    #[cold]
    fn touch(&mut self) -> u32 {
        let index = self.touched;
        self.touched += 1;
        self.nodes[index].next = None;
        index as u32
    }

    /// Adds an item at the end of a list. A node must be reserved for it.
    #[inline]
    pub fn push_back(&mut self, list: &mut NodeList, item: T) {
        let node = self.fill(item, None);
        list.ends = match list.ends {
            Some((head, tail)) => {
                self.nodes[tail as usize].next = Some(node);
                Some((head, node))
            }
            None => Some((node, node)),
        };
    }

    /// Adds an item at the beginning of a list. A node must be reserved for it.
    #[inline]
    pub fn push_front(&mut self, list: &mut NodeList, item: T) {
        let node = self.fill(item, list.ends.map(|(head, _)| head));
        list.ends = Some((node, list.ends.map_or(node, |(_, tail)| tail)));
    }

    /// Removes the first item of a list and returns it.
    #[inline]
    pub fn pop_front(&mut self, list: &mut NodeList) -> Option<T> {
        let (head, tail) = list.ends?;
        let Node { item, next } = core::mem::take(&mut self.nodes[head as usize]);
        list.ends = next.map(|next| (next, tail));
        self.nodes[head as usize].next = self.free.replace(head);
        self.in_use -= 1;
        Some(item.expect("a node on a list has an item"))
    }

    /// Returns the items of a list in order. For checks.
    pub fn iter<'a>(&'a self, list: &NodeList) -> impl Iterator<Item = &'a T> + use<'a, T> {
        let node = |index: u32| &self.nodes[index as usize];
        let first = list.ends.map(|(head, _)| node(head));
        core::iter::successors(first, move |before| before.next.map(node)).flat_map(|node| &node.item)
    }

    /// Moves all items of `other` to the end of `list`.
    pub fn append(&mut self, list: &mut NodeList, other: NodeList) {
        let Some((first, last)) = other.ends else { return };
        list.ends = match list.ends {
            Some((head, tail)) => {
                self.nodes[tail as usize].next = Some(first);
                Some((head, last))
            }
            None => Some((first, last)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(nodes: &mut Nodes<u32>, list: &mut NodeList) -> Vec<u32> {
        core::iter::from_fn(|| nodes.pop_front(list)).collect()
    }

    #[test]
    fn items_are_removed_in_list_order() {
        let mut nodes = Nodes::default();
        nodes.reserve(5).unwrap();
        let mut list = NodeList::new();
        nodes.push_back(&mut list, 2);
        nodes.push_back(&mut list, 3);
        nodes.push_front(&mut list, 1);
        let mut other = NodeList::new();
        nodes.push_back(&mut other, 4);
        nodes.push_back(&mut other, 5);
        nodes.append(&mut list, other);
        assert_eq!(nodes.iter(&list).collect::<Vec<_>>(), [&1, &2, &3, &4, &5]);
        assert_eq!(drain(&mut nodes, &mut list), [1, 2, 3, 4, 5]);
        assert!(list.is_empty() && nodes.iter(&list).next().is_none());
    }

    #[test]
    fn appending_to_or_from_an_empty_list_moves_everything() {
        let mut nodes = Nodes::default();
        nodes.reserve(2).unwrap();
        let (mut list, mut other) = (NodeList::new(), NodeList::new());
        nodes.push_back(&mut other, 7);
        nodes.append(&mut list, other.take());
        nodes.append(&mut list, other);
        nodes.push_back(&mut list, 8);
        assert_eq!(drain(&mut nodes, &mut list), [7, 8]);
    }

    #[test]
    fn nodes_are_reused_before_more_are_allocated() {
        let mut nodes = Nodes::default();
        nodes.reserve(TOGETHER + 1).unwrap();
        let mut list = NodeList::new();
        for round in 0..10 {
            (0..=TOGETHER as u32).for_each(|item| nodes.push_back(&mut list, item + round));
            assert_eq!(drain(&mut nodes, &mut list).len(), TOGETHER + 1);
        }
        assert_eq!(nodes.nodes.len(), 2 * TOGETHER);
        nodes.release(TOGETHER + 1);
        assert_eq!(nodes.reserved(), 0);
    }

    #[test]
    fn nodes_that_are_not_reserved_any_more_are_given_back() {
        let mut nodes = Nodes::default();
        let mut list = NodeList::new();
        nodes.reserve(20 * TOGETHER).unwrap();
        for round in 0..3 {
            (0..5 * TOGETHER as u32).for_each(|item| nodes.push_back(&mut list, item));
            assert!(!nodes.trim(), "nodes are in use");
            assert_eq!((drain(&mut nodes, &mut list).len(), nodes.nodes.len()), (5 * TOGETHER, 20 * TOGETHER));
            assert!(!nodes.trim(), "all are reserved: round {round}");
        }
        nodes.release(20 * TOGETHER - 3);
        while nodes.trim() {}
        assert_eq!(nodes.nodes.len(), TOGETHER);
        (0..3).for_each(|item| nodes.push_back(&mut list, item));
        assert_eq!(drain(&mut nodes, &mut list), [0, 1, 2]);
        nodes.release(3);
        while nodes.trim() {}
        assert_eq!(nodes.nodes.len(), 0);
        nodes.reserve(1).unwrap();
        nodes.push_back(&mut list, 7);
        assert_eq!(drain(&mut nodes, &mut list), [7]);
    }

    #[test]
    #[should_panic(expected = "no node was reserved")]
    fn adding_an_item_without_a_reserved_node_panics() {
        let mut nodes = Nodes::default();
        nodes.reserve(1).unwrap();
        let mut list = NodeList::new();
        nodes.push_back(&mut list, 1);
        nodes.push_back(&mut list, 2);
    }
}
