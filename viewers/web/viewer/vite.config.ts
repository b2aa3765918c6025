import { defineConfig } from "vite";

// Relative addresses: the built folder works under any path of any server.
export default defineConfig({
  base: "./",
  build: { outDir: "../dist", emptyOutDir: true, target: "es2022", chunkSizeWarningLimit: 4000 },
  worker: { format: "es" },
});
