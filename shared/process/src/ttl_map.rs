//! A bounded map whose entries expire.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A map of at most `capacity` entries, each with a time-to-live.
#[derive(Debug)]
pub struct TtlMap<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expires_at: Instant,
}

impl<K: Clone + Eq + Hash, V> TtlMap<K, V> {
    /// Creates an empty map.
    pub fn new(capacity: usize) -> Self {
        Self { entries: HashMap::new(), capacity }
    }

    /// Returns the value of a key, unless it has expired.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).filter(|entry| entry.expires_at > Instant::now()).map(|entry| &entry.value)
    }

    /// Returns the value of a key, even if it has expired.
    pub fn get_expired(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Sets a value. A full map first drops its expired entries or, if there are none, the entry
    /// that expires next.
    pub fn insert(&mut self, key: K, value: V, ttl: Duration) {
        let now = Instant::now();
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            self.entries.retain(|_, entry| entry.expires_at > now);
            if self.entries.len() >= self.capacity {
                let next = self.entries.iter().min_by_key(|(_, entry)| entry.expires_at).map(|(key, _)| key.clone());
                next.and_then(|key| self.entries.remove(&key));
            }
        }
        self.entries.insert(key, Entry { value, expires_at: now + ttl });
    }

    /// Removes a key and its value.
    pub fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn an_entry_is_there_until_it_expires() {
        let mut map = TtlMap::new(2);
        map.insert("fresh", 1, HOUR);
        map.insert("expired", 2, Duration::ZERO);
        assert_eq!((map.get(&"fresh"), map.get(&"expired"), map.get(&"unknown")), (Some(&1), None, None));
        assert_eq!(map.get_expired(&"expired"), Some(&2));
    }

    #[test]
    fn a_full_map_drops_what_has_expired_before_the_rest() {
        let mut map = TtlMap::new(2);
        map.insert(1, (), HOUR);
        map.insert(2, (), Duration::ZERO);
        map.insert(3, (), HOUR);
        assert_eq!((map.get(&1), map.get_expired(&2), map.get(&3)), (Some(&()), None, Some(&())));
        map.insert(3, (), 2 * HOUR);
        map.insert(4, (), HOUR);
        assert_eq!((map.get(&1), map.get(&3), map.get(&4)), (None, Some(&()), Some(&())));
    }
}
