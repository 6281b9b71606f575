//! The faults of one request, collected until all of it has been read.

use crate::domain::Fault;

/// More faults are not listed: a body of 16 MiB has room for millions.
const FAULTS_MAX: usize = 100;

/// Longer pointers and details are cut: what a caller wrote is not echoed at any length.
const TEXT_BYTES_MAX: usize = 1024;

/// Faulty fields in the order of their discovery, each named once.
#[derive(Debug, PartialEq)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    max: usize,
    more: bool,
}

impl Default for Faults {
    fn default() -> Self {
        Self::at_most(FAULTS_MAX)
    }
}

impl Faults {
    /// Lists `max` faults and only remembers that there are more.
    pub(crate) fn at_most(max: usize) -> Self {
        Self {
            list: Vec::new(),
            max: max.min(FAULTS_MAX),
            more: false,
        }
    }

    /// Adds a fault, unless the field has one already. The empty pointer, which stands for the
    /// request as a whole, may have several.
    pub(crate) fn push(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.add(Fault::new(pointer, detail));
    }

    /// As [`Self::push`].
    pub(crate) fn add(&mut self, mut fault: Fault) {
        if self.list.len() >= self.max {
            self.more = true;
            return;
        }
        cut(&mut fault.pointer);
        cut(&mut fault.detail);
        let known = |other: &Fault| other.pointer == fault.pointer;
        if fault.pointer.is_empty() || !self.list.iter().any(known) {
            self.list.push(fault);
        }
    }

    /// How many are listed.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty() && !self.more
    }

    /// The faults, and one sentence about how many there are.
    pub(crate) fn into_parts(self) -> (Vec<Fault>, String) {
        let detail = match (self.list.len(), self.more) {
            (1, false) => "one fault".to_owned(),
            (count, false) => format!("{count} faults"),
            (count, true) => format!("the first {count} of more faults are listed"),
        };
        (self.list, detail)
    }
}

fn cut(text: &mut String) {
    if text.len() > TEXT_BYTES_MAX {
        text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        text.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_named_once_and_the_list_is_bounded() {
        let mut faults = Faults::default();
        faults.push("/a", "first");
        faults.push("/a", "second");
        faults.push("", "a header");
        faults.push("", "another header");
        assert_eq!(faults.list.len(), 3);
        for index in 0..1000 {
            faults.push(format!("/{index}"), "x");
        }
        let (list, detail) = faults.into_parts();
        assert_eq!(list.len(), FAULTS_MAX);
        assert!(detail.contains("first 100"), "{detail}");
    }

    #[test]
    fn what_a_caller_wrote_is_not_echoed_at_any_length() {
        let mut faults = Faults::default();
        faults.push("ä".repeat(1 << 20), "ä".repeat(1 << 20));
        let (list, _) = faults.into_parts();
        assert!(list[0].pointer.len() < 1100 && list[0].detail.len() < 1100);
        assert!(list[0].pointer.ends_with('…'));
    }
}
