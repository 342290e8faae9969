/* Turns the one page of HTML into the printed book: title, contents, numbers; nothing that is folded. */
(about) => {
  document.documentElement.dataset.theme = 'light';
  for (const image of document.images) image.loading = 'eager';
  for (const unwanted of document.querySelectorAll(
    '#figures, details:not([open]), .nld-card, .nld-figure-files, .nld-dark, .toctree-wrapper > .caption, header, ' +
    '#print-main-content, .bd-header-article, .bd-sidebar-primary, .bd-sidebar-secondary, .prev-next-area, ' +
    '.bd-footer, .sd-container-fluid, .headerlink')) unwanted.remove();
  const contents = document.createElement('ol');
  const chapters = document.querySelectorAll('[id^="document-book/"] + section');
  const pages = new Map();
  contents.className = 'nld-contents';
  let number = 0;
  for (const chapter of chapters) {
    const heading = chapter.querySelector('h1, h2');
    if (!chapter.isConnected || !heading) continue;
    chapter.classList.add('nld-chapter');
    number += 1;
    heading.id = 'chapter-' + number;  // sections of two chapters may share an id
    pages.set(chapter.previousElementSibling.id.replace('document-', '') + '.html', heading);
    heading.prepend(number + '\u2002');
    const item = document.createElement('li'), link = document.createElement('a');
    link.href = '#' + heading.id;
    link.textContent = heading.textContent;
    item.append(link);
    contents.append(item);
    [...chapter.querySelectorAll(':scope > section')].forEach((section, part) => {
      const title = section.querySelector('h2, h3');
      if (title) title.prepend(number + '.' + (part + 1) + '\u2002');
    });
  }
  const title = document.createElement('div'), article = document.querySelector('article');
  title.className = 'nld-title';
  title.innerHTML = '<h1></h1><p></p><p></p>';
  title.children[0].textContent = about.title;
  title.children[1].textContent = about.authors + ', version ' + about.version + ', ' + about.date;
  title.children[2].textContent = about.note;
  article.prepend(title, contents);
  const root = article.querySelector(':scope > section');
  if (root) root.classList.add('nld-chapter');

  // Links to other files would lead to the folder in which the book was printed: into the print, or else to its pages.
  const entries = new Map();
  for (const entry of document.querySelectorAll('div.citation[id]')) {  // chapters have citations of the same ids
    entries.set(entry.id, entry);
    entry.id = 'reference-' + entry.id;
  }
  for (const link of document.querySelectorAll('article a[href]')) {
    const path = link.getAttribute('href').replace(/^(\.\.?\/)+/, '');
    if (link.protocol !== 'file:' || path.startsWith('#')) continue;
    const [page, fragment] = path.split('#').map(decodeURIComponent);
    const target = fragment ? entries.get(fragment) || document.getElementById(fragment) : pages.get(page);
    if (target) link.href = '#' + target.id;
    else link.href = about.address + (/^[^/]+\.html$/.test(page) ? 'book/' : '') + path;
  }
}
