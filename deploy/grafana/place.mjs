const COLUMNS = 24;

/**
 * Panels with ids and places: in each row from left to right and from top to bottom. A collapsed row holds its panels.
 *
 * @param rows `{ title, collapsed, panels }`
 */
export function place(rows) {
  const placed = [];
  let id = 0;
  let y = 0;
  for (const { title, collapsed = false, panels } of rows) {
    const row = { id: ++id, type: 'row', title, collapsed, gridPos: { h: 1, w: COLUMNS, x: 0, y }, panels: [] };
    placed.push(row);
    y++;
    let bottom = y;
    let x = 0;
    let shelf = y;
    for (const { size, ...panel } of panels) {
      if (x + size.width > COLUMNS) {
        x = 0;
        shelf = bottom;
      }
      const gridPos = { h: size.height, w: size.width, x, y: shelf };
      (collapsed ? row.panels : placed).push({ id: ++id, ...panel, gridPos });
      x += size.width;
      bottom = Math.max(bottom, shelf + size.height);
    }
    if (!collapsed) y = bottom;
  }
  return placed;
}
