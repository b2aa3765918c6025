import { serve } from "/decoder/worker.js";

serve();
