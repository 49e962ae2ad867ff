// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! A map from byte strings that finds all keys a given string begins with.
//!
//! A radix tree: an edge carries as many bytes as its subtree has in common, so that its size
//! depends on the number of keys, not on their length. The nodes lie in one array and nothing here
//! recurses, since peers choose the keys.
//!
//! Invariant: every node but the root has a value or at least two children.

/// The root's place among the nodes; no node's child, so it also says "none" in tables.
const ROOT: u32 = 0;

pub struct Trie<V> {
    nodes: Vec<Node<V>>,
    free: Vec<u32>,
    len: usize,
}

struct Node<V> {
    /// The bytes on the edge that leads here; empty for the root alone.
    label: Label,
    value: Option<V>,
    children: Children,
}

impl<V> Default for Trie<V> {
    fn default() -> Trie<V> {
        Trie { nodes: vec![Node::new(Label::new(&[]))], free: Vec::new(), len: 0 }
    }
}

impl<V> Trie<V> {
    /// The number of keys.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Calls `found` with the value of every key that `data` begins with, shortest first.
    #[inline]
    pub fn prefixes_of<'a>(&'a self, data: &[u8], mut found: impl FnMut(&'a V)) {
        let (mut node, mut rest) = (&self.nodes[ROOT as usize], data);
        loop {
            if let Some(value) = &node.value {
                found(value);
            }
            match self.step(node, rest) {
                Some(next) => (node, rest) = next,
                None => return,
            }
        }
    }

    /// Whether `data` begins with a key.
    #[inline]
    pub fn has_prefix_of(&self, data: &[u8]) -> bool {
        let (mut node, mut rest) = (&self.nodes[ROOT as usize], data);
        while node.value.is_none() {
            match self.step(node, rest) {
                Some(next) => (node, rest) = next,
                None => return false,
            }
        }
        true
    }

    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        let (node, _, _) = self.walk(key)?;
        self.nodes[node as usize].value.as_mut()
    }

    /// The value of a key, which is entered if it is missing.
    pub fn get_or_insert_with(&mut self, key: &[u8], make: impl FnOnce() -> V) -> &mut V {
        let node = self.make_node(key);
        let value = &mut self.nodes[node as usize].value;
        if value.is_none() {
            self.len += 1;
        }
        value.get_or_insert_with(make)
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        let (node, parent, grandparent) = self.walk(key)?;
        let value = self.nodes[node as usize].value.take()?;
        self.len -= 1;
        if node == ROOT {
            return Some(value);
        }
        if self.nodes[node as usize].children.len() == 0 {
            let first = self.nodes[node as usize].label.first();
            self.nodes[parent as usize].children.remove(first);
            self.release(node);
            self.join_with_only_child(parent, grandparent);
        } else {
            self.join_with_only_child(node, parent);
        }
        Some(value)
    }

    /// Calls `visit` with every key in ascending order.
    pub fn for_each(&mut self, mut visit: impl FnMut(&[u8], &mut V)) {
        let mut key = Vec::new();
        // The nodes from the root down, each with the first byte of the child last visited.
        let mut path: Vec<(u32, Option<u8>)> = vec![(ROOT, None)];
        if let Some(value) = &mut self.nodes[ROOT as usize].value {
            visit(&key, value);
        }
        while let Some((node, last)) = path.last_mut() {
            let current = &self.nodes[*node as usize];
            match current.children.after(*last) {
                Some((first, child)) => {
                    *last = Some(first);
                    path.push((child, None));
                    let child = &mut self.nodes[child as usize];
                    key.extend_from_slice(child.label.bytes());
                    if let Some(value) = &mut child.value {
                        visit(&key, value);
                    }
                }
                None => {
                    key.truncate(key.len() - current.label.bytes().len());
                    path.pop();
                }
            }
        }
    }

    /// The child that `rest` leads to, and what is left behind its label.
    #[inline]
    fn step<'a, 'b>(
        &'a self,
        node: &'a Node<V>,
        rest: &'b [u8],
    ) -> Option<(&'a Node<V>, &'b [u8])> {
        let child = node.children.find(*rest.first()?)?;
        let child = &self.nodes[child as usize];
        Some((child, rest.strip_prefix(child.label.bytes())?))
    }

    /// The node of a key, its parent and its parent's parent.
    fn walk(&self, key: &[u8]) -> Option<(u32, u32, u32)> {
        let (mut node, mut parent, mut grandparent) = (ROOT, ROOT, ROOT);
        let mut rest = key;
        while let Some(&first) = rest.first() {
            let child = self.nodes[node as usize].children.find(first)?;
            rest = rest.strip_prefix(self.nodes[child as usize].label.bytes())?;
            (node, parent, grandparent) = (child, node, parent);
        }
        Some((node, parent, grandparent))
    }

    /// The node of a key, made if it is missing.
    fn make_node(&mut self, key: &[u8]) -> u32 {
        let (mut node, mut rest) = (ROOT, key);
        while let Some(&first) = rest.first() {
            let Some(child) = self.nodes[node as usize].children.find(first) else {
                let leaf = self.allocate(Node::new(Label::new(rest)));
                self.nodes[node as usize].children.insert(first, leaf);
                return leaf;
            };
            let label = self.nodes[child as usize].label.bytes();
            let common = common_length(label, rest);
            if common == label.len() {
                node = child;
            } else {
                node = self.split(node, child, common);
            }
            rest = &rest[common..];
        }
        node
    }

    /// Puts a node into the edge from `parent` to `child`, behind `length` bytes of its label.
    fn split(&mut self, parent: u32, child: u32, length: usize) -> u32 {
        let label = self.nodes[child as usize].label.bytes();
        let (upper, lower) = (Label::new(&label[..length]), Label::new(&label[length..]));
        let (upper_first, lower_first) = (upper.first(), lower.first());
        self.nodes[child as usize].label = lower;
        let middle = self.allocate(Node::new(upper));
        self.nodes[middle as usize].children.insert(lower_first, child);
        self.nodes[parent as usize].children.replace(upper_first, middle);
        middle
    }

    /// Removes a node that has become superfluous, if it has.
    fn join_with_only_child(&mut self, node: u32, parent: u32) {
        let this = &self.nodes[node as usize];
        if node == ROOT || this.value.is_some() || this.children.len() != 1 {
            return;
        }
        let Some((_, child)) = this.children.after(None) else { return };
        let label = [this.label.bytes(), self.nodes[child as usize].label.bytes()].concat();
        let first = this.label.first();
        self.nodes[child as usize].label = Label::new(&label);
        self.nodes[parent as usize].children.replace(first, child);
        self.release(node);
    }

    fn allocate(&mut self, node: Node<V>) -> u32 {
        match self.free.pop() {
            Some(place) => {
                self.nodes[place as usize] = node;
                place
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    fn release(&mut self, node: u32) {
        self.nodes[node as usize] = Node::new(Label::new(&[]));
        self.free.push(node);
    }
}

impl<V> Node<V> {
    fn new(label: Label) -> Node<V> {
        Node { label, value: None, children: Children::Few(Vec::new()) }
    }
}

fn common_length(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// A byte string that lies within the node when it is short.
enum Label {
    Short { length: u8, bytes: [u8; Label::SHORT] },
    Long(Box<[u8]>),
}

impl Label {
    const SHORT: usize = 22;

    fn new(label: &[u8]) -> Label {
        if label.len() > Label::SHORT {
            return Label::Long(label.into());
        }
        let mut bytes = [0; Label::SHORT];
        bytes[..label.len()].copy_from_slice(label);
        Label::Short { length: label.len() as u8, bytes }
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Label::Short { length, bytes } => &bytes[..usize::from(*length)],
            Label::Long(bytes) => bytes,
        }
    }

    fn first(&self) -> u8 {
        self.bytes().first().copied().unwrap_or(0)
    }
}

/// The children of a node by the first byte of their label.
enum Children {
    /// In ascending order.
    Few(Vec<(u8, u32)>),
    Many {
        table: Box<[u32; 256]>,
        count: usize,
    },
}

impl Children {
    /// With more children than this a table is used.
    const FEW: usize = 12;

    #[inline]
    fn find(&self, first: u8) -> Option<u32> {
        match self {
            Children::Few(list) => {
                list.iter().find(|(byte, _)| *byte == first).map(|(_, child)| *child)
            }
            Children::Many { table, .. } => {
                Some(table[usize::from(first)]).filter(|child| *child != ROOT)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Children::Few(list) => list.len(),
            Children::Many { count, .. } => *count,
        }
    }

    /// The child that comes next in ascending order.
    fn after(&self, last: Option<u8>) -> Option<(u8, u32)> {
        match self {
            Children::Few(list) => list.iter().find(|(byte, _)| Some(*byte) > last).copied(),
            Children::Many { table, .. } => {
                let start = last.map_or(0, |last| usize::from(last) + 1);
                (start..256).map(|byte| (byte as u8, table[byte])).find(|(_, child)| *child != ROOT)
            }
        }
    }

    fn insert(&mut self, first: u8, child: u32) {
        match self {
            Children::Few(list) if list.len() < Children::FEW => {
                let place = list.partition_point(|(byte, _)| *byte < first);
                list.insert(place, (first, child));
            }
            Children::Few(list) => {
                let mut table = Box::new([ROOT; 256]);
                for (byte, child) in list.iter() {
                    table[usize::from(*byte)] = *child;
                }
                table[usize::from(first)] = child;
                *self = Children::Many { table, count: list.len() + 1 };
            }
            Children::Many { table, count } => {
                table[usize::from(first)] = child;
                *count += 1;
            }
        }
    }

    /// Gives an entry that is there another child.
    fn replace(&mut self, first: u8, child: u32) {
        match self {
            Children::Few(list) => {
                for entry in list.iter_mut().filter(|(byte, _)| *byte == first) {
                    entry.1 = child;
                }
            }
            Children::Many { table, .. } => table[usize::from(first)] = child,
        }
    }

    /// Removes an entry that is there.
    fn remove(&mut self, first: u8) {
        match self {
            Children::Few(list) => list.retain(|(byte, _)| *byte != first),
            Children::Many { table, count } => {
                table[usize::from(first)] = ROOT;
                *count -= 1;
                if *count <= Children::FEW / 2 {
                    let entries = (0u8..=255).zip(table.iter().copied());
                    *self = Children::Few(entries.filter(|(_, child)| *child != ROOT).collect());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn check(trie: &mut Trie<u32>, model: &BTreeMap<Vec<u8>, u32>) {
        let mut keys = Vec::new();
        trie.for_each(|key, value| keys.push((key.to_vec(), *value)));
        assert_eq!(keys, model.clone().into_iter().collect::<Vec<_>>());
        assert_eq!(trie.len(), model.len());
        let used = trie.nodes.len() - trie.free.len();
        assert!(used <= 2 * model.len() + 1, "{used} nodes for {} keys", model.len());
    }

    fn prefixes(trie: &Trie<u32>, data: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        trie.prefixes_of(data, |value| found.push(*value));
        assert_eq!(trie.has_prefix_of(data), !found.is_empty());
        found
    }

    #[test]
    fn behaves_like_a_sorted_map() {
        // A linear congruential generator: the same keys in every run.
        let mut state = 1u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % limit
        };
        for alphabet in [2, 30, 256] {
            let mut trie = Trie::default();
            let mut model = BTreeMap::new();
            for step in 0..4000 {
                let length = if random(50) == 0 { 60 } else { random(7) };
                let key: Vec<u8> = (0..length).map(|_| random(alphabet) as u8).collect();
                if random(20) < if step < 2000 { 13 } else { 6 } {
                    *trie.get_or_insert_with(&key, || step) = step;
                    model.insert(key.clone(), step);
                } else {
                    assert_eq!(trie.remove(&key), model.remove(&key));
                }
                assert_eq!(trie.get_mut(&key), model.get_mut(&key));
                let data: Vec<u8> = (0..10).map(|_| random(alphabet) as u8).collect();
                let expected: Vec<u32> =
                    (0..=10).filter_map(|length| model.get(&data[..length]).copied()).collect();
                assert_eq!(prefixes(&trie, &data), expected);
                if step % 200 == 0 {
                    check(&mut trie, &model);
                }
            }
            for key in model.keys().cloned().collect::<Vec<_>>() {
                assert_eq!(trie.remove(&key), model.remove(&key));
            }
            check(&mut trie, &model);
            assert_eq!(trie.nodes.len() - trie.free.len(), 1);
        }
    }

    #[test]
    fn the_empty_key_begins_everything() {
        let mut trie = Trie::default();
        assert!(prefixes(&trie, b"").is_empty());
        trie.get_or_insert_with(b"", || 1);
        trie.get_or_insert_with(b"ab", || 2);
        for (data, expected) in
            [(&b""[..], &[1][..]), (b"a", &[1]), (b"ab", &[1, 2]), (b"abc", &[1, 2]), (b"b", &[1])]
        {
            assert_eq!(prefixes(&trie, data), expected);
        }
        assert_eq!(trie.remove(b""), Some(1));
        assert_eq!(trie.remove(b""), None);
        assert_eq!(trie.remove(b"a"), None);
        assert_eq!(trie.remove(b"abc"), None);
        assert_eq!(prefixes(&trie, b"abc"), [2]);
    }

    #[test]
    fn depth_costs_no_stack() {
        let mut trie = Trie::default();
        let key = vec![b'a'; 4000];
        for length in 0..key.len() {
            trie.get_or_insert_with(&key[..length], || 0);
        }
        let mut count = 0;
        trie.for_each(|_, _| count += 1);
        assert_eq!((count, trie.len()), (key.len(), key.len()));
        assert_eq!(prefixes(&trie, &key).len(), key.len());
    }
}
