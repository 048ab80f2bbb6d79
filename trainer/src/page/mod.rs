//! What all our pages share: the look, and the document around their content.
//!
//! A page needs nothing but itself: style and pictures are inside, there is no script, and a content security policy
//! forbids it to load anything.

pub mod base64;

use crate::plots::svg::escape;

/// The style that every page begins with.
const STYLE: &str = include_str!("style.css");

/// A page without its content.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What stands in the browser's tab; escaped here.
    pub title: &'a str,
    /// Style beyond the shared one; CSS.
    pub style: &'a str,
    /// The last line of the page; escaped here.
    pub footer: &'a str,
}

/// The whole HTML document in UTF-8 around `body`, which is HTML and written by this crate.
pub fn document(frame: Frame<'_>, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{style}</style>\n</head>\n<body>\n\
         <main>\n{body}</main>\n<footer>{footer}</footer>\n</body>\n</html>\n",
        title = escape(frame.title),
        style = frame.style,
        footer = escape(frame.footer),
    )
}

/// Checks that every element that opens also closes, in order.
#[cfg(test)]
pub fn assert_elements_close(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    for tag in html.split('<').skip(2) {
        let tag = tag.split_once('>').expect("every tag ends").0;
        let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else if !["meta", "img", "br"].contains(&name) && !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

/// Checks that the page asks for nothing outside itself and holds no script.
#[cfg(test)]
pub fn assert_self_contained(html: &str) {
    // The name of SVG's namespace is an address that no browser opens.
    let html = html.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "url(", "@import", "<link", "<script"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("default-src 'none'"));
}
