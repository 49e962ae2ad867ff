// SPDX-License-Identifier: MPL-2.0
#![forbid(unsafe_code)]
//! The topics a socket subscribes to, counted (SUB, XSUB).

use super::trie::Trie;

#[derive(Default)]
pub struct Topics {
    /// How often each topic was subscribed to, at least once.
    counts: Trie<u64>,
}

impl Topics {
    pub fn add(&mut self, topic: &[u8]) {
        *self.counts.get_or_insert_with(topic, || 0) += 1;
    }

    /// True: that was the last subscription to the topic.
    pub fn remove(&mut self, topic: &[u8]) -> bool {
        match self.counts.get_mut(topic) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            Some(_) => self.counts.remove(topic).is_some(),
            None => false,
        }
    }

    /// Whether a message that begins with `data` was subscribed to.
    #[inline]
    pub fn matches(&self, data: &[u8]) -> bool {
        self.counts.has_prefix_of(data)
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Calls `visit` with every topic in ascending order.
    pub fn for_each(&mut self, mut visit: impl FnMut(&[u8])) {
        self.counts.for_each(|topic, _| visit(topic));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_counted() {
        let mut topics = Topics::default();
        assert!(!topics.matches(b""));
        for topic in [&b"A"[..], b"A", b"AB", b""] {
            topics.add(topic);
        }
        assert_eq!(topics.len(), 3);
        assert!(topics.matches(b"anything"));
        assert!(topics.remove(b""));
        assert!(!topics.remove(b""), "unknown");
        assert!(!topics.remove(b"A"));
        assert!(topics.matches(b"A"));
        assert!(topics.remove(b"A"));
        assert!(!topics.matches(b"A") && topics.matches(b"ABC"));
        let mut left = Vec::new();
        topics.for_each(|topic| left.push(topic.to_vec()));
        assert_eq!(left, [b"AB"]);
    }
}
