/** Line drawings of 24 x 24. */
const icon = (paths: string) => `<svg viewBox="0 0 24 24" aria-hidden="true">${paths}</svg>`;

export const icons = {
  open: icon('<path d="M4 19V6h6l2 2.5h8V19z"/>'),
  frame: icon('<path d="M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5"/><circle cx="12" cy="12" r="2.5"/>'),
  compare: icon('<rect x="3.5" y="5" width="17" height="14" rx="2"/><path d="M12 3v18"/><path d="M15 9.5l2.5 2.5-2.5 2.5M9 9.5L6.5 12 9 14.5"/>'),
  picture: icon('<path d="M4 8h3.5L9 5.5h6L16.5 8H20v11H4z"/><circle cx="12" cy="13" r="3.2"/>'),
  headset: icon('<path d="M4 7.5h16a1.5 1.5 0 0 1 1.5 1.5v6.5A1.5 1.5 0 0 1 20 17h-4l-2.2-2.6a2.4 2.4 0 0 0-3.6 0L8 17H4a1.5 1.5 0 0 1-1.5-1.5V9A1.5 1.5 0 0 1 4 7.5z"/>'),
  theme: icon('<circle cx="12" cy="12" r="8"/><path d="M12 4a8 8 0 0 1 0 16z" fill="currentColor"/>'),
  panel: icon('<circle cx="12" cy="12" r="8.5"/><path d="M12 11v5.5M12 7.6v.2"/>'),
  help: icon('<path d="M8.8 9a3.2 3.2 0 1 1 4.6 2.9c-1 .5-1.4 1.1-1.4 2.1v.4M12 17.6v.2"/>'),
};
