//! The title of a page, without the name of its site.

use html5gum::StartTag;

use super::furniture;

/// Separators between the titles of a page and of its site.
const SEPARATORS: [&str; 10] = [" — ", " – ", " - ", " | ", " · ", " • ", " :: ", " » ", " « ", ": "];
/// Endings of the name that documentation gives to its site.
const SITE_ENDINGS: [&str; 3] = [" documentation", " docs", " manual"];
/// Size limit, in bytes, of a name in a page's metadata.
const MAX_NAME_BYTES: usize = 500;

/// What a page says about its title.
#[derive(Debug, Default)]
pub(super) struct Names {
    title: String,
    site: Vec<String>,
    shared: Option<String>,
}

impl Names {
    pub(super) fn is_untitled(&self) -> bool {
        self.title.is_empty()
    }

    pub(super) fn add_title(&mut self, text: &str) {
        self.title.push_str(text);
    }

    pub(super) fn bytes(&self) -> usize {
        self.title.len()
    }

    /// Reads the names in a `meta` element.
    pub(super) fn meta(&mut self, tag: &StartTag<()>) {
        let name = [b"property".as_slice(), b"name"].map(|name| furniture::text(tag, name)).concat();
        let content = spaced(furniture::text(tag, b"content"));
        if content.is_empty() || content.len() > MAX_NAME_BYTES {
            return;
        }
        match name.to_ascii_lowercase().as_str() {
            "og:site_name" | "application-name" if self.site.len() < 4 => self.site.push(content),
            "og:title" => self.shared = self.shared.take().or(Some(content)),
            _ => {}
        }
    }

    /// Returns the title. Without one, the first heading of the text is it.
    ///
    /// The first heading of the whole page may be the name of its site: it counts only where the title
    /// begins with it.
    pub(super) fn title(&self, heading: Option<&str>, of_page: Option<&str>) -> Option<String> {
        let title = spaced(&self.title);
        if title.is_empty() {
            return heading.map(str::to_owned);
        }
        let shared = self.shared.as_deref();
        let has_site = [heading, shared]
            .into_iter()
            .flatten()
            .find(|own| is_before_site(&title, own) || is_after_site(&title, own));
        let of_page =
            of_page.filter(|heading| !self.site.iter().any(|site| site == heading) && is_before_site(&title, heading));
        Some(has_site.or(of_page).unwrap_or_else(|| without_site(&title, &self.site)).to_owned())
    }
}

fn is_before_site(title: &str, own: &str) -> bool {
    // After a colon stands a subtitle rather than a site.
    let marks = SEPARATORS.iter().filter(|mark| **mark != ": ");
    has_letters(own) && title.strip_prefix(own).is_some_and(|rest| marks.clone().any(|mark| rest.starts_with(mark)))
}

fn is_after_site(title: &str, own: &str) -> bool {
    has_letters(own) && title.strip_suffix(own).is_some_and(|rest| SEPARATORS.iter().any(|mark| rest.ends_with(mark)))
}

fn has_letters(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

/// Cuts off the name of the site, before or after the title.
fn without_site<'t>(title: &'t str, site: &[String]) -> &'t str {
    let last = SEPARATORS.iter().filter_map(|mark| title.rsplit_once(mark)).max_by_key(|(before, _)| before.len());
    let first = SEPARATORS.iter().filter_map(|mark| title.split_once(mark)).min_by_key(|(before, _)| before.len());
    let is_site = |name: &str| site.iter().any(|site| site.to_lowercase() == name.to_lowercase());
    let has_ending = |name: &str| SITE_ENDINGS.iter().any(|ending| name.to_lowercase().ends_with(ending));
    match (last, first) {
        (Some((own, name)), _) if (is_site(name) || has_ending(name)) && has_letters(own) => own.trim(),
        (_, Some((name, own))) if is_site(name) && has_letters(own) => own.trim(),
        _ => title,
    }
}

/// Finds the first heading of a text.
pub(super) fn first_heading(text: &str) -> Option<&str> {
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                let heading = line.trim_start_matches('#');
                if (1..=6).contains(&(line.len() - heading.len())) && heading.starts_with(' ') {
                    return Some(heading.trim());
                }
            }
            Some(_) => {}
        }
    }
    None
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
