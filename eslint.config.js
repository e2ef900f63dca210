import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist/", "build/", "coverage/", "docs/"] },
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/explicit-module-boundary-types": "error",
      "@typescript-eslint/no-confusing-void-expression": "off", // `return void f()` reads worse than `return f()`
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
      "max-lines": ["error", { max: 400, skipComments: true, skipBlankLines: true }],
      "max-lines-per-function": ["error", { max: 45, skipComments: true, skipBlankLines: true }],
      eqeqeq: "error",
    },
  },
  // One class is what users see: its length is that of its doc comments, of one line for each call, and of overloads.
  {
    files: ["src/socket/async-socket.ts"],
    rules: { "max-lines": ["error", { max: 585, skipComments: true, skipBlankLines: true }] },
  },
  {
    files: ["test/**"],
    rules: {
      "max-lines": ["error", 600],
      "max-lines-per-function": "off", // a describe() holds its tests
      "@typescript-eslint/no-floating-promises": "off", // test() and requests are fire and forget
      "@typescript-eslint/no-empty-function": "off",
    },
  },
  { files: ["**/*.js", "**/*.mjs"], ...tseslint.configs.disableTypeChecked },
  { files: ["scripts/**"], rules: { "@typescript-eslint/explicit-module-boundary-types": "off" } }, // JavaScript has none
  // There are no types to write. What the compiler finds in TypeScript is looked for here.
  {
    files: ["**/*.mjs"],
    rules: { "@typescript-eslint/explicit-module-boundary-types": "off", "no-dupe-keys": "error" },
  },
);
