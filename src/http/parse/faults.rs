//! The faults of one request, collected until all of it has been read.

use crate::domain::Fault;

/// More faults are not listed: a body of 16 MiB has room for millions.
const FAULTS_MAX: usize = 100;

/// Longer pointers and details are cut: what a caller wrote is not echoed at any length.
const TEXT_BYTES_MAX: usize = 1024;

/// Faulty fields in the order of their discovery, each named once.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Faults {
    list: Vec<Fault>,
    more: bool,
}

impl Faults {
    /// Adds a fault, unless the field has one already. The empty pointer, which stands for the
    /// request as a whole, may have several.
    pub(crate) fn push(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.add(Fault::new(pointer, detail));
    }

    /// As [`Self::push`].
    pub(crate) fn add(&mut self, mut fault: Fault) {
        if self.list.len() >= FAULTS_MAX {
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

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The faults, and one sentence about how many there are.
    pub(crate) fn into_parts(self) -> (Vec<Fault>, String) {
        let detail = match (self.list.len(), self.more) {
            (1, _) => "one fault; nothing was accepted".to_owned(),
            (count, false) => format!("{count} faults; nothing was accepted"),
            (count, true) => {
                format!("the first {count} of more faults are listed; nothing was accepted")
            }
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
